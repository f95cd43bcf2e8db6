// Posts with Node.js, an agent that keeps connections: see README.md.
'use strict';

const http = require('http');
const https = require('https');

const TYPE = 'application/x-www-form-urlencoded';
const [url, threads, schedule, name] = process.argv.slice(2);
const pauses = schedule.split(',').map(Number);
const client = url.startsWith('https:') ? https : http;
const report = {sent: 0, ok: 0, other: {}, failed: {}, connections: 0};

// The certificate of a test is signed by nobody.
const agent = new client.Agent({keepAlive: true, maxSockets: Number(threads), rejectUnauthorized: false});
const connect = agent.createConnection;
agent.createConnection = function (...options) {
    report.connections++;
    return connect.apply(this, options);
};

function body(to) {
    const address = to + '@example.jp';
    const event = {
        created: '2026-01-25 14:03:06', returnPath: 'info@example.com', from: 'info@example.com',
        to: address, messageId: `<${address}>`, reason: '', senderIp: '', sourceIp: '192.0.2.1',
        status: 'queued', subject: 'Hello, world', apiData: '',
    };
    return new URLSearchParams({
        server_composition: 'pro', event_type: 'deliveries', event: JSON.stringify({deliveries: [event]}),
    }).toString();
}

function post(data) {
    return new Promise((resolve, reject) => {
        const headers = {'Content-Type': TYPE, 'Content-Length': Buffer.byteLength(data)};
        const request = client.request(url, {method: 'POST', agent, headers}, (answer) => {
            answer.on('data', () => {});
            answer.on('error', reject);
            answer.on('end', () => resolve(answer.statusCode));
        });
        request.on('error', reject);
        request.end(data);
    });
}

function count(of, key) {
    of[key] = (of[key] || 0) + 1;
}

async function work(thread) {
    for (let index = 0; index < pauses.length; index++) {
        report.sent++;
        try {
            const status = await post(body(`${name}-${thread}-${index}`));
            if (status === 200) {
                report.ok++;
            } else {
                count(report.other, status);
            }
        } catch (error) {
            count(report.failed, error.code || error.name);
        }
        await new Promise((resolve) => setTimeout(resolve, pauses[index]));
    }
}

Promise.all([...Array(Number(threads)).keys()].map(work)).then(() => {
    agent.destroy();
    console.log(JSON.stringify(report));
});
