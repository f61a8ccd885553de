"""What the report stage shows: results as read, figures, the diagnosis, the page."""
