"""What the project needs to build its own files; nothing here is installed."""
