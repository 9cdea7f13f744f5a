"""Statistics on descriptors and labels, and how well images are registered."""
