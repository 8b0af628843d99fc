// Shows the engine that a message is of the worker that has a credential: docs/wire-format.md, Proof.
const { createHash, createPrivateKey, sign } = require('node:crypto'), { readFileSync } = require('node:fs');

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex'); // what stands before the 32 bytes of a key for Ed25519
const byName = ([one], [other]) => (one < other ? -1 : 1);

// The variable RE_WORKER_CREDENTIAL_FILE names what `rectl worker add` writes; without it nothing is signed. `start`: new at every start
// of the worker. `id`: the worker's; `signed` takes what channel.publish would get, and returns what it gets instead
module.exports = function proof(start) {
  const file = process.env.RE_WORKER_CREDENTIAL_FILE;
  if (!file) return { id: start, proven: false, signed: (...message) => message };
  const [form, name, seed] = readFileSync(file, 'utf8').trim().split(':'), id = `${name}~${start}`;
  if (form !== 're-worker-credential') throw new Error(`${file} is not what rectl worker add writes`);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, Buffer.from(seed, 'base64')]), format: 'der', type: 'pkcs8' });
  const signed = (exchange, to, content, properties) => {
    const purpose = to === 'heartbeat' ? 'heartbeat' : to.startsWith('re.reply.') && 'reply';
    if (!purpose) return [exchange, to, content, properties];
    const headers = { ...properties.headers, 're-worker': id, 're-credential': name };
    const ours = Object.entries(headers).filter(([one]) => one.startsWith('re-')).sort(byName);
    const { messageId, correlationId = '', replyTo = '' } = properties, digest = createHash('sha256').update(content).digest('hex');
    const said = JSON.stringify(['re-proof/1', purpose, messageId, correlationId, replyTo, ours, digest]);
    headers['re-proof'] = sign(null, Buffer.from(said), key).toString('base64');
    return ['re', to, content, { ...properties, headers }]; // to the exchange: a user with a worker's rights may not publish elsewhere
  };
  return { id, proven: true, signed };
};
