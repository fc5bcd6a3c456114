"""Who may come in at the desktop's door: pages that came through it, and no others.

A browser says where a page is from, and lets any page ask. Through Coder and through a forwarded port, the
host that is asked for is the one that the page is from. What asks for this very port is on the machine and
calls it by its own names; by any other, it is a stranger whose name was made to lead here.
"""
from urllib.parse import urlsplit

from websockify.auth_plugins import AuthenticationError

OWN_NAMES = ("localhost", "127.0.0.1", "::1")


class OwnPagesAlone:
    def __init__(self, port=None):
        self.port = int(port)

    def authenticate(self, headers, target_host, target_port):
        if not self.is_own(headers.get("Host") or "", headers.get("Origin") or ""):
            raise AuthenticationError(response_msg="this page is not from here")

    def is_own(self, host, origin):
        try:
            place, page = urlsplit("//" + host), urlsplit(origin)
            is_direct = place.port == self.port
        except ValueError:
            return False
        if page.scheme not in ("http", "https") or not host or page.netloc.lower() != host.lower():
            return False
        # Over plain HTTP any name can be made to lead here; for Coder's there is a certificate.
        return place.hostname in OWN_NAMES if is_direct or page.scheme == "http" else True
