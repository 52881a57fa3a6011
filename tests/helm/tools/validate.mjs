// Reads a JSON list of Kubernetes objects from standard input and writes a list of faults for each.
//
// The packages hold compiled validators, which accept keys that they do not know. But a validator reads every
// key that its schema knows: an object that notes what is read of it tells which keys no schema asked for.
import { text } from "node:stream/consumers";

const PACKAGES = {
  "monitoring.coreos.com/v1": [
    "prometheus-operator",
    "ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1",
  ],
  "gateway.networking.k8s.io/v1": ["gateway-api", "IoK8sSigsGatewayApiApisV1"],
};

async function validatorOf({ apiVersion, kind }) {
  const [folder, prefix] = PACKAGES[apiVersion];
  const path = `node_modules/@kubernetes-models/${folder}/_schemas/${prefix}${kind}.js`;
  return (await import(new URL(path, import.meta.url))).validate;
}

function noting(value, path, unread) {
  if (value === null || typeof value !== "object") return value;
  const copy = Array.isArray(value) ? [] : {};
  for (const [key, inner] of Object.entries(value)) {
    if (!Array.isArray(value)) unread.add(`${path}/${key}`);
    copy[key] = noting(inner, `${path}/${key}`, unread);
  }
  return new Proxy(copy, {
    get(target, key) {
      unread.delete(`${path}/${String(key)}`);
      return target[key];
    },
  });
}

async function faultsOf(object) {
  const validate = await validatorOf(object);
  const unread = new Set();
  const right = validate(noting(object, "", unread));
  const faults = right ? [] : validate.errors.map(sentence);
  // Below an unknown key nothing is read, and the key itself says it all.
  const isBelow = (path) => [...unread].some((other) => path.startsWith(`${other}/`));
  const unknown = [...unread].filter((path) => !isBelow(path));
  return [...faults, ...unknown.map((path) => `${path}: no such key`)];
}

function sentence({ instancePath, keyword, params }) {
  return `${instancePath}: ${keyword} ${JSON.stringify(params)}`;
}

const objects = JSON.parse(await text(process.stdin));
process.stdout.write(JSON.stringify(await Promise.all(objects.map(faultsOf))));
