// Express with its own body parsers and its own answers to errors: one process, as it comes.
'use strict';
const express = require('express');
const { store } = require('./events');

const app = express();

app.use(express.json({ limit: '8mb' }));
app.use(express.urlencoded({ extended: false, limit: '8mb' }));
app.post('/mails', async (request, response) => {
    response.json({ stored: await store(request.body) });
});
app.listen(Number(process.env.PORT), '127.0.0.1');
