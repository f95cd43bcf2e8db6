"""Takes the pictures of the status page that the README shows: pictures.py CMCWH PAST FOLDER. PAST is the
program made of past.c: what is shown is a real server that opens a ring with 48 hours in it."""

import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import harness  # noqa: E402
import test_page  # noqa: E402
from test_admin import Admin  # noqa: E402

RECORDS = "4096"
FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><include>/etc/fonts/fonts.conf</include>
<match target="pattern"><edit name="family" mode="prepend" binding="strong"><string>Noto Sans CJK JP</string></edit></match>
</fontconfig>"""


def take(past, folder):
    os.environ["TZ"] = "Asia/Tokyo"
    chromium = test_page.browser()
    server = Admin("--ring", "@/ring", "--ring-records", RECORDS)
    with open(server.path("ring"), "wb") as ring:
        subprocess.run([past, str(int(time.time()))], stdout=ring, check=True)
    os.chmod(server.path("ring"), 0o600)
    fonts = server.write("fonts.conf", FONTS)
    with server:
        harness.eventually(lambda: server.count() > 1000, "the sink")
        test_page.drive(server, chromium, os.path.abspath(server.path("")), FONTCONFIG_FILE=fonts)
        for name in ("desktop.png", "phone.png"):
            subprocess.run(["pngquant", "--force", "--strip", "--speed", "1", "--output", server.path(name), "24",
                            server.path(name)], check=True)
            shutil.copyfile(server.path(name), os.path.join(folder, name))


if __name__ == "__main__":
    harness.CMCWH = os.path.abspath(sys.argv[1])
    take(os.path.abspath(sys.argv[2]), sys.argv[3])
