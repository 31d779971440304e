"""The servers that Bilocate is measured against."""
