/**
 * A peer as its own users run it: node-oidc-provider with an adapter that keeps its tokens in Redis, as the one among its examples does.
 * It gives out access tokens by client_credentials to a client that proves itself with an ES256 assertion (private_key_jwt), opaque and
 * stored, or as JWTs where a resource is asked for; it introspects and revokes the opaque ones.
 */
import { generateKeyPairSync, type JsonWebKey } from "node:crypto";
import { createServer } from "node:http";
import { Redis } from "ioredis";
import Provider from "oidc-provider";

/** Everything it is told, as JSON in its first argument. */
export interface PeerSettings {
  readonly url: string;
  readonly port: number;
  readonly redisUrl: string;
  readonly audience: string;
  /** The client that issues by assertion, and its public key. */
  readonly client: string;
  readonly jwk: object;
  /** The client that introspects and revokes, by Basic. */
  readonly verifier: { readonly name: string; readonly key: string };
}

const settings = JSON.parse(process.argv[2] ?? "{}") as PeerSettings;
const redis = new Redis(settings.redisUrl);
const SCOPE = "deploy:write";
const TTL_SECONDS = 600;

/** One model's records, each a string with an end. What our grants never use is not kept. */
class RedisAdapter {
  readonly #model: string;
  constructor(model: string) {
    this.#model = model;
  }
  #key = (id: string): string => `oidc:${this.#model}:${id}`;
  async upsert(id: string, payload: object, expiresIn: number | undefined): Promise<void> {
    const text = JSON.stringify(payload);
    if (expiresIn === undefined) await redis.set(this.#key(id), text);
    else await redis.set(this.#key(id), text, "EX", expiresIn);
  }
  async find(id: string): Promise<unknown> {
    const text = await redis.get(this.#key(id));
    return text === null ? undefined : (JSON.parse(text) as unknown);
  }
  async destroy(id: string): Promise<void> {
    await redis.del(this.#key(id));
  }
  findByUid = (): Promise<undefined> => Promise.resolve(undefined);
  findByUserCode = (): Promise<undefined> => Promise.resolve(undefined);
  consume = (): Promise<void> => Promise.resolve();
  revokeByGrantId = (): Promise<void> => Promise.resolve();
}

const own: JsonWebKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
const client = {
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  scope: SCOPE,
  id_token_signed_response_alg: "ES256",
};
const provider = new Provider(settings.url, {
  adapter: RedisAdapter,
  jwks: { keys: [{ ...own, kid: "peer", use: "sig", alg: "ES256" }] },
  scopes: [SCOPE],
  ttl: { ClientCredentials: TTL_SECONDS },
  routes: { token: "/oauth2/token", introspection: "/oauth2/introspect", revocation: "/oauth2/revoke" },
  clients: [
    { ...client, client_id: settings.client, token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [settings.jwk] } },
    {
      ...client,
      client_id: settings.verifier.name,
      client_secret: settings.verifier.key,
      token_endpoint_auth_method: "client_secret_basic",
    },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: SCOPE,
        audience: settings.audience,
        accessTokenTTL: TTL_SECONDS,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});

const answer = provider.callback();
createServer((request, response) => {
  if (request.url === "/readyz") response.end("ok");
  else answer(request, response);
}).listen(settings.port, "127.0.0.1");
process.once("SIGTERM", () => process.exit(0));
