"""Implement HTTP/1.1 over gevent sockets."""
