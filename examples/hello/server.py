"""The app of docs/tutorial-dploy.md: it greets, and says which release it is."""

import http.server
import os


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every request for a page."""

    def do_GET(self) -> None:
        """The greeting."""
        text = f"{os.environ.get('GREETING', 'hello')} from {os.environ['RELEASE_VERSION']}\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
