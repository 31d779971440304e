"""The built-in identity service: the subset of Keystone's v3 API that clients of the rest need."""
