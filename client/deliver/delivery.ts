import { join } from "node:path";
import { awsVariables } from "./aws.ts";
import { renderCredential, type CredentialFormat } from "./formats.ts";
import { sshFiles, x509Files } from "./keys.ts";
import { loginOf, netrcLine, type Place } from "./login.ts";
import { tokenOf, valueOf, type Answer } from "./material.ts";
import { pgpassLine, pgServiceSection, postgresPlace } from "./postgres.ts";
import { sshConfiguration } from "./ssh-config.ts";
import { variablePrefix, variablesOf, type Variables } from "./variables.ts";

/** What one credential becomes for a command: variables, and files in a folder that only its owner can read. */
export interface Delivery {
  readonly variables: Variables;
  /** Variables that say which of several is meant unasked; left out where two credentials disagree. */
  readonly defaults?: Variables;
  /** By name in the folder. Parts of one file, from several credentials, stand one after another. */
  readonly files?: Readonly<Record<string, string>>;
  /** Entries of git's configuration. */
  readonly git?: readonly (readonly [name: string, value: string])[];
  /** Entries of docker's configuration: `user:password` in base64, by host. */
  readonly docker?: Readonly<Record<string, string>>;
  readonly agentKey?: AgentKey;
}

/** A private key among the files, whose certificate lies beside it: both go into an agent, until `expiresAt` (milliseconds). */
export interface AgentKey {
  readonly name: string;
  readonly expiresAt: number;
}

/** Folder and file names inside it are ours alone, so that paths in variables need no quoting. */
export interface Where {
  readonly folder: string;
}

type Make = (answer: Answer, where: Where, place: Place) => Delivery;

const SHAPES = {
  env: (answer) => ({ variables: variablesOf(answer) }),
  pgpass: (answer, { folder }) => ({
    variables: { PGPASSFILE: join(folder, "pgpass") },
    defaults: postgresPlace(answer.credential),
    files: { pgpass: pgpassLine(answer) },
  }),
  pgservice: (answer, { folder }) => ({
    variables: { PGSERVICEFILE: join(folder, "pg_service.conf") },
    defaults: { PGSERVICE: answer.grant },
    files: { "pg_service.conf": pgServiceSection(answer) },
  }),
  netrc: (answer, { folder }, place) => ({ variables: { NETRC: join(folder, "netrc") }, files: { netrc: netrcLine(answer, place) } }),
  git: (answer, { folder }, place) => git(answer, folder, place),
  docker: (answer, { folder }, place) => {
    const { host, username, password } = loginOf(answer, place);
    const auth = Buffer.from(`${username}:${password}`).toString("base64");
    return { variables: { DOCKER_CONFIG: join(folder, "docker") }, docker: { [host]: auth } };
  },
  ssh: (answer, { folder }) => ({
    variables: {
      [`${variablePrefix(answer.grant)}_SSH_KEY`]: join(folder, answer.grant),
      [`${variablePrefix(answer.grant)}_SSH_CONFIG`]: join(folder, `${answer.grant}-config`),
    },
    files: { ...keyPair(answer), ...sshConfiguration(answer, folder) },
  }),
  "ssh-agent": (answer) => {
    // not the name of the files that `ssh` leaves for the command: these go as soon as the agent has them
    const name = `${answer.grant}.agent`;
    return { variables: {}, files: keyPair(answer, name), agentKey: { name, expiresAt: Date.parse(answer.expires_at) } };
  },
  x509: (answer, { folder }) => x509(answer, folder),
  aws: (answer, { folder }) => aws(answer, folder),
} as const satisfies Readonly<Record<string, Make>>;

export type Shape = keyof typeof SHAPES;
export const SHAPE_NAMES = Object.keys(SHAPES) as readonly Shape[];
/** Those that need to know for which host, or take one. */
export const PLACED: ReadonlySet<string> = new Set<Shape>(["netrc", "git", "docker"]);

/** A credential in a shape. Throws `UnsuitableError` where its kind does not fit. */
export const deliver = (shape: Shape, answer: Answer, where: Where, place: Place = {}): Delivery => SHAPES[shape](answer, where, place);

/** The shape a kind of credential takes unasked; undefined: one variable. */
export function usualShape({ credential }: Answer): Shape | undefined {
  switch (credential.type) {
    case "postgres":
    case "github_token":
      return "env";
    case "ssh_certificate":
      return "ssh-agent";
    case "x509_certificate":
      return "x509";
    default:
      return tokenOf(credential) === undefined ? "env" : undefined;
  }
}

/** The whole credential in one variable: its token, or all members as JSON. */
export const inVariable = (name: string, { credential }: Answer): Delivery => ({ variables: { [name]: valueOf(credential) } });

/** A file of its own, whose path is in a variable. */
export function inFile(name: string, answer: Answer, format: CredentialFormat, { folder }: Where, place: Place = {}): Delivery {
  const file = `${answer.grant}.${format}`;
  return { variables: { [name]: join(folder, file) }, files: { [file]: renderCredential(format, answer, place) } };
}

function git(answer: Answer, folder: string, place: Place): Delivery {
  const { host, username, password } = loginOf(answer, place);
  const url = `https://${encodeURIComponent(username)}:${encodeURIComponent(password)}@${host}\n`;
  return {
    variables: {},
    files: { "git-credentials": url },
    git: [
      // an empty helper takes the user's own out of play: git would hand them this credential to keep
      [`credential.https://${host}.helper`, ""],
      [`credential.https://${host}.helper`, `store --file='${join(folder, "git-credentials")}'`],
    ],
  };
}

const keyPair = (answer: Answer, name = answer.grant): Readonly<Record<string, string>> => {
  const { key, certificate } = sshFiles(answer);
  return { [name]: key, [`${name}-cert.pub`]: certificate };
};

function x509(answer: Answer, folder: string): Delivery {
  const { certificate, key, ca } = x509Files(answer);
  const files = { [`${answer.grant}.pem`]: certificate, [`${answer.grant}-key.pem`]: key, [`${answer.grant}-ca.pem`]: ca };
  const prefix = variablePrefix(answer.grant);
  const path = (end: string): string => join(folder, `${answer.grant}${end}.pem`);
  return {
    variables: { [`${prefix}_CERT_FILE`]: path(""), [`${prefix}_KEY_FILE`]: path("-key"), [`${prefix}_CA_FILE`]: path("-ca") },
    files,
  };
}

/** Keys as variables; a JWT as the file that AWS's SDKs exchange for keys of their own. */
function aws(answer: Answer, folder: string): Delivery {
  if (answer.credential.type !== "jwt") return { variables: awsVariables(answer.credential) };
  return inFile("AWS_WEB_IDENTITY_TOKEN_FILE", answer, "token", { folder });
}
