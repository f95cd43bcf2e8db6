// Node.js without a framework: one process, as it comes.
'use strict';
const http = require('http');
const { store } = require('./events');

const BODY_MAX = 8 << 20;

async function read(request) {
    const pieces = [];
    let length = 0;

    for await (const piece of request) {
        length += piece.length;
        if (length > BODY_MAX) {
            throw Object.assign(new Error('too large'), { status: 413 });
        }
        pieces.push(piece);
    }
    return Buffer.concat(pieces).toString();
}

function parse(request, text) {
    return request.headers['content-type'].startsWith('application/x-www-form-urlencoded')
        ? Object.fromEntries(new URLSearchParams(text)) : JSON.parse(text);
}

function answer(response, status, body) {
    const text = JSON.stringify(body);

    response.writeHead(status, {
        'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text),
    });
    response.end(text);
}

http.createServer(async (request, response) => {
    try {
        const body = parse(request, await read(request));

        answer(response, 200, { stored: await store(body) });
    } catch (error) {
        const status = error instanceof SyntaxError ? 400 : error.status ?? 500;

        answer(response, status, { error: error.message });
    }
}).listen(Number(process.env.PORT), '127.0.0.1');
