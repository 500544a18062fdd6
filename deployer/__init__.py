"""Deploy release tarballs to systemd hosts over SSH, and go back when they do not hold."""

__version__ = "0.1.0"
