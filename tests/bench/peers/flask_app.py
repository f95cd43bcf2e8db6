"""Flask, under gunicorn: see gunicorn.conf.py. What the parser has to say goes into the answer."""

from flask import Flask, request

from events import NotAnEvent, store

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 8 << 20


@app.post("/mails")
def mails():
    try:
        body = request.form.to_dict() if request.form else request.get_json()
        return {"stored": store(body)}
    except NotAnEvent as error:
        return {"error": str(error)}, 422
    except ValueError as error:
        return {"error": str(error)}, 400
