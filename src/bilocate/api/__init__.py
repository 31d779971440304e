"""The HTTP API: thin handlers over operations/. Only wire.py spells the API's words, only problems.py its codes."""
