// Makes the replica set of one and its two users. Runs to its end at every start of the cluster; what is there stays.
// It speaks to mongod from inside its network namespace: where there is no user yet, only localhost may make the first.
const admin = db.getSiblingDB("admin");
const secret = (name) => {
  if (!process.env[name]) throw new Error(`${name} is not set`);
  return process.env[name];
};

let known = true;
try {
  admin.auth("admin", secret("MONGODB_ADMIN_PASSWORD"));
} catch (error) {
  known = false;
}

if (!known) {
  try {
    rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] });
  } catch (error) {
    if (error.codeName !== "AlreadyInitialized") throw error;
  }
  while (!db.hello().isWritablePrimary) sleep(200);
  admin.createUser({ user: "admin", pwd: secret("MONGODB_ADMIN_PASSWORD"), roles: ["root"] });
  admin.auth("admin", secret("MONGODB_ADMIN_PASSWORD"));
}

const engine = db.getSiblingDB("re");
const rights = { pwd: secret("MONGODB_PASSWORD"), roles: [{ role: "readWrite", db: "re" }] };
if (engine.getUser("re")) {
  engine.updateUser("re", rights);
} else {
  engine.createUser({ user: "re", ...rights });
}
print("the replica set and its users are there");
