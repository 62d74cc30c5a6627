import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync, mkdtempSync } from "node:fs";
import { join } from "node:path";

interface Material {
  readonly type: "ssh_certificate";
  readonly certificate: string;
  readonly private_key?: string;
  readonly key_id: string;
  readonly serial: string;
  readonly principals: readonly string[];
  readonly valid_until: string;
}

/** A key with a certificate by an authority of the test's own, as a broker answers; and certificates for other keys. */
export function sshPair(folder: string): { readonly material: Material; certified(publicKey: string): Material } {
  const place = mkdtempSync(join(folder, "ssh-"));
  const generate = (name: string): void =>
    void execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", join(place, name)]);
  generate("ca");
  generate("user");
  const certified = (publicKey: string): Material => {
    writeFileSync(join(place, "asked.pub"), `${publicKey.trim()}\n`);
    const sign = ["-q", "-s", join(place, "ca"), "-I", "test", "-n", "deploy", "-V", "+5m", join(place, "asked.pub")];
    execFileSync("ssh-keygen", sign, { stdio: "ignore" });
    return {
      type: "ssh_certificate",
      certificate: readFileSync(join(place, "asked-cert.pub"), "utf8").trim(),
      key_id: "test",
      serial: "7",
      principals: ["deploy"],
      valid_until: "2099-01-01T00:00:00.000Z",
    };
  };
  const material = certified(readFileSync(join(place, "user.pub"), "utf8"));
  return { material: { ...material, private_key: readFileSync(join(place, "user"), "utf8") }, certified };
}
