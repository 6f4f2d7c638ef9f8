"""The pages of the Attribution Atlas: pure functions from records to Markdown, JSON and SVG."""
