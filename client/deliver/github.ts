import type { CredentialMaterial } from "../../domain/wire.ts";
import { optionalText, textOf } from "./material.ts";

/** Variables of `gh` and of what else speaks to GitHub; an Enterprise Server has its own. */
export function githubVariables(material: CredentialMaterial): Readonly<Record<string, string>> {
  const token = textOf(material, "token");
  const host = githubHost(material);
  if (host === undefined || host === "github.com") return { GITHUB_TOKEN: token, GH_TOKEN: token };
  return { GITHUB_TOKEN: token, GH_ENTERPRISE_TOKEN: token, GH_HOST: host };
}

/** Where git clones from, by the API's address: `api.github.com` is github.com; an Enterprise Server answers for both. */
export function githubHost(material: CredentialMaterial): string | undefined {
  const url = optionalText(material, "api_url");
  if (url === undefined || !URL.canParse(url)) return undefined;
  const { host } = new URL(url);
  return host === "api.github.com" ? "github.com" : host.startsWith("api.") && host.endsWith(".ghe.com") ? host.slice(4) : host;
}
