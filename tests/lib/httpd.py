#!/usr/bin/env python3
"""httpd.py DIR PORT-FILE [--cut BYTES] [--slow]: files over HTTP with ranges, requests logged to DIR/requests

--cut BYTES  the first answer for each file breaks off after so many bytes
--slow       answers bodies at about 2 MB/s
"""
import http.server
import os
import re
import sys
import time

directory, port_file, *options = sys.argv[1:]
cut = int(options[options.index("--cut") + 1]) if "--cut" in options else 0
slow = "--slow" in options
seen = set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        with open(directory + "/requests", "a") as log:
            log.write(f"{self.command} {self.path} {self.headers.get('Range', '-')}\n")
        path = directory + "/" + self.path.lstrip("/")
        if not os.path.isfile(path):
            self.send_error(404)
            return
        size, start = os.path.getsize(path), 0
        m = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if m and int(m[1]) < size:
            start = int(m[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(size - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{os.stat(path).st_mtime_ns}"')
        self.send_header("Last-Modified", self.date_time_string(int(os.stat(path).st_mtime)))
        self.end_headers()
        if body:
            self.send(path, start, path not in seen)
            seen.add(path)

    def send(self, path, start, first):
        left = cut if cut and first else 1 << 62
        with open(path, "rb") as f:
            f.seek(start)
            while (chunk := f.read(min(65536, left))) and left > 0:
                self.wfile.write(chunk)
                left -= len(chunk)
                if slow:
                    time.sleep(len(chunk) / 2e6)
        if left <= 0:
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(port_file + ".new", "w") as f:
    f.write(str(server.server_address[1]))
os.rename(port_file + ".new", port_file)
server.serve_forever()
