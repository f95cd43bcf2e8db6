// What both Node.js peers do with a request: is it an event, one JSON line for each, append, sync.
'use strict';
const fs = require('fs/promises');

const FIELDS = ['status', 'created', 'messageId', 'from', 'to', 'returnPath', 'subject', 'reason',
    'sourceIp', 'senderIp', 'apiData'];

class NotAnEvent extends Error {
    constructor() {
        super('not an event');
        this.status = 422;
    }
}

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

function lines(body) {
    // In a form the event is JSON within a field.
    const event = typeof body?.event === 'string' ? JSON.parse(body.event) : body?.event;
    const type = body?.event_type;
    const list = typeof type === 'string' && isObject(event) ? event[type] : undefined;

    if (!Array.isArray(list) || !list.every(isObject)) {
        throw new NotAnEvent();
    }
    return list.map((one) => {
        const line = { event_type: type, server_composition: body.server_composition ?? '' };

        for (const field of FIELDS) {
            line[field] = one[field] ?? '';
        }
        return JSON.stringify(line) + '\n';
    });
}

// The file stays open. appendFile() writes until everything is written, or fails.
let log;

async function store(body) {
    const taken = lines(body);

    log ??= fs.open(process.env.LOG, 'a');
    await (await log).appendFile(taken.join(''));
    if (process.env.SYNC === '1') {
        await (await log).datasync();
    }
    return taken.length;
}

module.exports = { store };
