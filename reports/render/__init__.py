"""Render a report as HTML, text, Markdown or JUnit."""
