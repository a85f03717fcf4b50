"""The benchmark: this package, the official SDK and a bare `wrtc` script against one real server.

Run it from a checkout with `python -m bench`; `python -m bench --help` lists the options.
"""
