# gunicorn: 4 processes of 8 threads. The default worker takes one connection at a time and gives
# keep-alive up, and is meant to stand behind a proxy; threads do without one.
import os

bind = "127.0.0.1:" + os.environ["PORT"]
workers = 4
worker_class = "gthread"
threads = 8
keepalive = 5
backlog = 1024
loglevel = "error"
