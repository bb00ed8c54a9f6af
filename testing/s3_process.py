"""A process that speaks S3, `python -m testing.s3_process`: moto's application for S3 alone.

It prints its port, which the system chose. `moto.server` itself looks through the folders of all
services for every request, under one lock, and takes a port that another process may have got.
"""

from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


class SilentHandler(MotoRequestHandler):
    """No line for each request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def main() -> None:
    """Serve until the process is stopped."""
    application = create_backend_app("s3")
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=SilentHandler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
