var e=`# A receiver in Python that verifies what it gets, with the standard library only.
# WEBHOOK_SECRET=whsec_… python3 receiver.py
import base64
import hashlib
import hmac
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def verify(secret, headers, body):
    msg_id = headers.get("webhook-id", "")
    at = headers.get("webhook-timestamp", "")
    if not at.isdigit() or abs(time.time() - int(at)) > 300:
        raise ValueError("the timestamp is missing or too old")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{msg_id}.{at}.".encode() + body
    want = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    for given in headers.get("webhook-signature", "").split():
        if hmac.compare_digest(given.encode(), want.encode()):
            return
    raise ValueError("no signature matches")


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))  # the exact bytes
        try:
            verify(os.environ["WEBHOOK_SECRET"], self.headers, body)
        except ValueError as e:
            self.send_error(401, str(e))
            return
        # Keep it before you answer; the same webhook-id may come again.
        print(f"{self.headers['webhook-id']}: {len(body)} bytes", flush=True)
        self.send_response(204)
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 3000))), Receiver).serve_forever()
`;export{e as default};