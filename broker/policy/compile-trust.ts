import { isIP } from "node:net";
import { dirname, resolve } from "node:path";
import { CACHED_EVIDENCE_USES, presetOf } from "../attestation/presets.ts";
import type { TrustDocument } from "./document.ts";
import type { Trust } from "./policy.ts";
import type { Complaints } from "./problems.ts";
import { compileTemplate, type Template } from "./template.ts";

/** Compiles a trust and complains of everything wrong with it; undefined when it cannot be used. */
export function compileTrust(document: TrustDocument, stintUrl: string, complaints: Complaints): Trust | undefined {
  const { oidc } = document;
  const presetName = oidc.preset ?? "generic";
  const preset = presetOf(presetName);
  const template = (path: "id" | "workload" | "task", fallback: string | undefined): Template["render"] => {
    const text = document[path] ?? fallback;
    if (text === undefined) return () => undefined;
    const compiled = compileTemplate(text);
    if (!("error" in compiled)) return compiled.render;
    complaints.add([path], `the template ${compiled.error}`, {
      help: 'write literal text and ${claim} references; "${/a/b}" is a JSON Pointer',
    });
    return () => undefined;
  };
  const audiences =
    oidc.audience === undefined ? [stintUrl] : [...new Set(typeof oidc.audience === "string" ? [oidc.audience] : oidc.audience)];
  checkIssuer(document, complaints);
  const keys = keysOf(document, complaints);
  const near = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(dirname(complaints.located.file), path);
  return {
    name: document.name,
    owner: document.owner,
    preset: presetName,
    issuer: oidc.issuer,
    audiences,
    algorithms: oidc.algorithms ?? preset.algorithms,
    keys,
    privateNetwork: oidc.private_network ?? false,
    insecureHttp: oidc.insecure_http ?? false,
    caFile: near(oidc.ca_file),
    bearerFile: near(oidc.bearer_file),
    maxUses: oidc.single_use === undefined ? preset.maxUses : oidc.single_use ? 1 : CACHED_EVIDENCE_USES,
    renderId: template("id", preset.id),
    renderWorkload: template("workload", preset.workload),
    renderTask: template("task", preset.task),
  };
}

function keysOf(document: TrustDocument, complaints: Complaints): Trust["keys"] {
  const { jwks_file: file, jwks_uri: uri } = document.oidc;
  if (file !== undefined && uri !== undefined)
    complaints.add(["oidc", "jwks_uri"], "says both jwks_file and jwks_uri", { help: "keep one of them" });
  if (file !== undefined) return { from: "file", path: resolve(dirname(complaints.located.file), file) };
  if (uri === undefined) return { from: "discovery" };
  checkUrl(uri, ["oidc", "jwks_uri"], document.oidc.insecure_http ?? false, complaints);
  return { from: "uri", uri };
}

function checkIssuer(document: TrustDocument, complaints: Complaints): void {
  const { oidc } = document;
  const path = ["oidc", "issuer"];
  if (oidc.preset === "spiffe") {
    if (!/^spiffe:\/\/[a-z0-9._-]{1,255}$/.test(oidc.issuer))
      complaints.add(path, "must be a trust domain such as spiffe://prod.example.org, in lower case");
    if (oidc.jwks_file === undefined && oidc.jwks_uri === undefined)
      complaints.add(["oidc"], "a SPIFFE trust needs its bundle", { help: "jwks_file: bundle.jwks.json" });
  } else checkUrl(oidc.issuer, path, oidc.insecure_http ?? false, complaints);
  if (oidc.insecure_http === true && !isLoopback(oidc.issuer)) {
    complaints.add(["oidc", "insecure_http"], "insecure_http is only for an issuer on this machine (loopback)", {
      help: "use an https issuer",
    });
  }
}

function checkUrl(text: string, path: readonly string[], insecure: boolean, complaints: Complaints): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) return complaints.add(path, "must be an https URL");
  if (url.username !== "" || url.password !== "" || text.includes("#") || (path.at(-1) === "issuer" && text.includes("?"))) {
    complaints.add(path, "must be a URL without user, password, query and fragment");
  }
  if (url.protocol === "http:" && !isLoopback(text))
    complaints.add(path, "must be an https URL: http is only for an issuer on this machine");
  else if (url.protocol === "http:" && !insecure)
    complaints.add(path, "is http", { help: "add insecure_http: true if this is a test identity provider on this machine" });
}

function isLoopback(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const host = new URL(text).hostname.replace(/^\[|\]$/g, "");
  return host === "localhost" || host.endsWith(".localhost") || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
