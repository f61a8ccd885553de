"""The page: its templates, styles and scripts, and the module that renders them."""
