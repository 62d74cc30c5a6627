import { join } from "node:path";
import type { Answer } from "./material.ts";
import { UnsuitableError } from "./unsuitable.ts";

/** Files beside the key: a configuration that names it (ssh_config), and the keys of the hosts it is for, where the broker knows them. */
export function sshConfiguration({ grant, credential }: Answer, folder: string): Readonly<Record<string, string>> {
  const { host, port, user, known_hosts: known } = credential as Readonly<Record<string, unknown>>;
  const key = join(folder, grant);
  const hosts =
    Array.isArray(known) && known.length > 0 ? known.map((line) => fit(line, /^[\x20-\x7e]{1,16384}$/, "known_hosts")) : undefined;
  const place = [
    host === undefined ? undefined : `  HostName ${fit(host, /^[A-Za-z0-9._:-]{1,255}$/, "host")}`,
    port === undefined ? undefined : `  Port ${fit(port, /^\d{1,5}$/, "port")}`,
  ];
  const everywhere = [
    user === undefined ? undefined : `  User ${fit(user, /^[A-Za-z0-9_.@+-]{1,128}$/, "user")}`,
    `  IdentityFile "${key}"`,
    `  CertificateFile "${key}-cert.pub"`,
    "  IdentitiesOnly yes",
    "  IdentityAgent none",
    hosts === undefined ? undefined : `  UserKnownHostsFile "${key}-known_hosts"`,
    hosts === undefined ? undefined : "  StrictHostKeyChecking yes",
  ];
  const lines = [`Host ${grant}`, ...place, "Host *", ...everywhere].filter((line) => line !== undefined);
  return {
    [`${grant}-config`]: `${lines.join("\n")}\n`,
    ...(hosts === undefined ? {} : { [`${grant}-known_hosts`]: `${hosts.join("\n")}\n` }),
  };
}

/** What a broker says of a host goes into a file that ssh obeys: nothing but a plain word may. */
function fit(value: unknown, form: RegExp, name: string): string {
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text === "string" && form.test(text)) return text;
  throw new UnsuitableError(`the ${name} of the certificate cannot stand in an SSH configuration`);
}
