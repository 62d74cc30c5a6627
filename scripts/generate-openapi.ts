import { readFile, writeFile } from "node:fs/promises";
import { openapiDocument } from "../broker/http/openapi.ts";
import { ROUTES } from "../broker/http/routes.ts";

/** The OpenAPI document as it stands in the repository; a spec compares the file with this. */
export async function openapiFile(root: URL): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL("package.json", root), "utf8")) as { version: string };
  return `${JSON.stringify(openapiDocument(ROUTES, { url: "https://stint.example", version }), null, 2)}\n`;
}

/** `dist/scripts/` lies two below the root. */
const root = new URL("../../", import.meta.url);
if (process.argv[1] !== undefined && import.meta.url === new URL(`file://${process.argv[1]}`).href) {
  await writeFile(new URL("schema/openapi.json", root), await openapiFile(root));
}
