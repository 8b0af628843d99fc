// A worker in Node with the step `node:Run {script, args}`. docs/how-to/write-a-worker-in-another-language.md explains it.
const amqp = require('amqplib');
const { randomUUID } = require('node:crypto'), { spawn } = require('node:child_process');
const { createInterface } = require('node:readline'), { crc32 } = require('node:zlib'), proof = require('./proof');
const pool = process.env.RE_WORKER_POOL, QUEUE = pool ? `worker.node.${pool}` : 'worker.node';
const { id: WORKER, proven, signed } = proof(randomUUID()), CONTROL = `re.control.${WORKER}.node`;
const properties = { script: { type: 'string' }, args: { type: 'array', items: { type: 'string' } } };
const parameters = { type: 'object', additionalProperties: false, required: ['script'], properties };
const OFFERS = { 'node:Run': { summary: 'Runs a script in Node.', timeout: 600, parameters } };
const runs = new Map(); // attempt id -> its run. The last 1000 that are over stay, so that a copy of one is known
let channel, taking, beats = 0;

const publish = (exchange, key, body, more) => new Promise((resolve, reject) => { // resolves when the broker has taken it
  const properties = { contentType: 'application/json', appId: 'worker-node', persistent: true, ...more };
  channel.publish(...signed(exchange, key, Buffer.from(JSON.stringify(body)), properties), (error) => (error ? reject(error) : resolve()));
});
const beat = (offers = OFFERS, headers = {}) => publish('re', 'heartbeat', { worker: WORKER, pool, slots: 1, offers, running:
  [...runs.keys()].filter((id) => !runs.get(id).over) }, { persistent: false, messageId: `${WORKER}/heartbeat/${beats++}`, headers });

function newRun({ headers, correlationId, replyTo }, redelivered) { // of a step's message: how it is answered
  const attempt = headers['re-attempt'], token = randomUUID(), handedOver = replyTo.startsWith('re.attempt.');
  const replies = handedOver ? `re.reply.${crc32(correlationId) % 16}` : replyTo;
  const run = { attempt, over: 0, lines: 0, cancel: () => { run.cancelled = true; }, repeat: () => {} };
  run.asks = headers['re-grant'] || handedOver || redelivered || Date.now() - headers['re-turn'] > 5000;
  run.reply = (kind, body, more) => (run.repeat = () => publish('', replies, body, { correlationId, replyTo: CONTROL,
    messageId: `${attempt}/${kind}/${token}`, headers: { 're-attempt': attempt, 're-token': token, 're-worker': WORKER, ...more } }))();
  run.say = (line) => publish('re', 'output', { message: line }, { correlationId,
    messageId: `${attempt}/${token}/output/${run.lines++}`, headers: { 're-step': attempt.split('/')[1] } });
  run.word = new Promise((resolve) => { // the core's answer to the claim, or its cancel
    run.hear = (event, to) => { if (event === 'cancel') run.cancel(); if (event === 'cancel' || to === token) resolve(event); };
    if (run.asks) setTimeout(resolve, 25_000, 'no answer to the claim'); else resolve('go');
  });
  return run;
}

async function take(message) {
  const run = newRun(message.properties, message.fields.redelivered), known = runs.get(run.attempt);
  if (known) return known.over ? Date.now() - known.over > 10_000 && known.repeat() : known.asks || known.repeat(); // a copy
  runs.set(run.attempt, run);
  await run.reply('started', { status: 'started' }, run.asks ? { 're-asks': '1' } : {});
  const word = await run.word; // a step that may not be repeated begins after `go` only
  if (word === 'go') await run.reply('outcome', await carryOut(message, run).catch((error) => ({ status: 'failed', message: `${error}` })));
  else if (word === 'no-go') run.repeat = () => {};
  else await run.reply('declined', { reason: word }, { 're-event': 'declined' });
  run.over = Date.now();
  for (const old of [...runs.keys()].filter((id) => runs.get(id).over).slice(0, -1000)) runs.delete(old);
}

async function carryOut(message, run) { // the body of the outcome, when the script and what it has started are over
  const { script, args = [] } = JSON.parse(message.content).parameters;
  const child = spawn(process.execPath, ['-e', script, '--', ...args], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const kill = (signal) => { try { process.kill(-child.pid, signal); } catch { /* it has ended */ } };
  run.cancel = () => { run.cancelled = true; kill('SIGTERM'); setTimeout(kill, 5000, 'SIGKILL'); };
  if (run.cancelled) run.cancel();
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', run.say);
  const [code, signal] = await new Promise((resolve, reject) => child.on('error', reject).on('close', (...ended) => resolve(ended)));
  if (code === 0) return { status: 'completed', data: { code } };
  return { status: 'failed', message: run.cancelled ? 'cancelled' : `exit code ${code ?? signal}`, data: { code } };
}

async function main() {
  const connection = await amqp.connect(process.env.RE_BUS_URL);
  connection.on('error', console.error).on('close', () => process.exit(1)); // its service manager starts it again
  channel = await connection.createConfirmChannel();
  const quorum = { 'x-queue-type': 'quorum', 'x-delivery-limit': -1, 'x-dead-letter-exchange': 're.dead' };
  await (proven ? channel.checkExchange('re') : channel.assertExchange('re', 'topic')); // a worker's own user may not make one
  await channel.assertQueue(QUEUE, { arguments: { ...quorum, ...(pool && { 'x-expires': 3_600_000 }) } });
  if (!pool) await channel.bindQueue(QUEUE, 're', QUEUE);
  await channel.assertQueue(CONTROL, { arguments: { 'x-queue-type': 'classic', 'x-expires': 600_000 } });
  await channel.consume(CONTROL, ({ properties: { headers } }) => {
    const run = runs.get(headers['re-attempt']), event = headers['re-event'];
    if (run && event === 'tell') run.over && run.repeat(); else if (run) run.hear(event, headers['re-token']);
  }, { noAck: true });
  await beat().then(() => setInterval(beat, 5000));
  await channel.prefetch(1); // one step at once; more processes do more
  await channel.consume(QUEUE, (message) => ('re-attempt' in message.properties.headers // else no core of ours has sent it
    ? (taking = take(message).then(() => channel.ack(message))) : channel.nack(message, false, false)), { consumerTag: 'steps' });
  process.once('SIGTERM', () => channel.cancel('steps').then(() => taking).then(() => beat({}, { 're-event': 'bye' })).then(process.exit));
}
main();
