#!/usr/bin/env python3
"""image.py IN OUT: an image for `docker load`, as buildah wrote it, without what tells of the container that it was built
in: the same files give the same bytes."""

import hashlib
import io
import json
import sys
import tarfile


def add(tar, name, data):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    tar.addfile(entry, io.BytesIO(data))


def main():
    with tarfile.open(sys.argv[1]) as image:
        parts = {entry.name: image.extractfile(entry).read() for entry in image.getmembers() if entry.isfile()}
    manifest, = json.loads(parts["manifest.json"])
    config = json.loads(parts[manifest["Config"]])
    for key in ("container", "container_config"):
        config.pop(key, None)
    config["config"]["Hostname"] = ""
    text = json.dumps(config, sort_keys=True).encode()
    layers = {name: parts[name] for name in manifest["Layers"]}
    manifest["Config"] = hashlib.sha256(text).hexdigest() + ".json"
    with tarfile.open(sys.argv[2], "w", format=tarfile.GNU_FORMAT) as image:
        add(image, manifest["Config"], text)
        for name, data in layers.items():
            add(image, name, data)
        add(image, "manifest.json", json.dumps([manifest]).encode())


main()
