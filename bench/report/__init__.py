"""What a run leaves behind: JSON, Markdown, SVG."""
