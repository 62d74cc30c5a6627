import { z } from "zod";

/** A JWT of ours, to be shown as Bearer (RFC 6750), or with a proof where `token_type` says DPoP (RFC 9449). */
export const JwtCredential = z
  .looseObject({
    type: z.literal("jwt"),
    token: z.string(),
    token_type: z.literal("DPoP").optional().meta({ description: "Bound to the asker's key: it opens nothing without a proof." }),
    profile: z.string().optional().meta({ description: "`federation`: for a cloud or cluster that trusts us as an identity provider." }),
  })
  .meta({ id: "JwtCredential" });
export type JwtCredential = z.infer<typeof JwtCredential>;

/** A role of its own in a database. */
export const PostgresCredential = z
  .looseObject({
    type: z.literal("postgres"),
    host: z.string(),
    port: z.int(),
    database: z.string(),
    username: z.string(),
    password: z.string(),
    sslmode: z.string().optional().meta({ description: "As libpq has it." }),
  })
  .meta({ id: "PostgresCredential" });
export type PostgresCredential = z.infer<typeof PostgresCredential>;

/** An OpenSSH user certificate; `private_key` unless the asker gave a public key of its own. */
export const SshCertificateCredential = z
  .looseObject({
    type: z.literal("ssh_certificate"),
    certificate: z.string().meta({ description: "One line, as in `id-cert.pub`." }),
    private_key: z.string().optional().meta({ description: "OpenSSH private key; absent when the asker gave a public key." }),
    key_id: z.string(),
    serial: z.string().meta({ description: "Decimal; what a revocation list names." }),
    principals: z.array(z.string()),
    valid_until: z.string(),
    host: z.string().optional().meta({ description: "Where to log in, as far as the Target says it; likewise what follows." }),
    port: z.int().optional(),
    user: z.string().optional(),
    known_hosts: z.array(z.string()).optional().meta({ description: "Lines by which the host is known." }),
  })
  .meta({ id: "SshCertificateCredential" });
export type SshCertificateCredential = z.infer<typeof SshCertificateCredential>;

/** A client certificate; `private_key` unless the asker gave a signing request. */
export const X509CertificateCredential = z
  .looseObject({
    type: z.literal("x509_certificate"),
    certificate: z.string().meta({ description: "PEM: the leaf, then what leads to the authority." }),
    private_key: z.string().optional().meta({ description: "PEM (PKCS #8); absent when the asker gave a signing request." }),
    ca: z.string().meta({ description: "PEM: the authority that signed it." }),
    serial: z.string().meta({ description: "Hexadecimal; what a revocation list names." }),
    spiffe_id: z.string().optional(),
    dns_names: z.array(z.string()).optional(),
    not_after: z.string().optional(),
  })
  .meta({ id: "X509CertificateCredential" });
export type X509CertificateCredential = z.infer<typeof X509CertificateCredential>;

/** A GitHub installation token. */
export const GithubTokenCredential = z
  .looseObject({
    type: z.literal("github_token"),
    token: z.string(),
    repositories: z.array(z.string()).optional().meta({ description: "Absent: all that the installation may reach." }),
    permissions: z.record(z.string(), z.string()),
    api_url: z.string(),
    expires_at: z.string().optional().meta({ description: "GitHub's own end, which may be later than the lease's." }),
  })
  .meta({ id: "GithubTokenCredential" });
export type GithubTokenCredential = z.infer<typeof GithubTokenCredential>;

/** What a maker of your own made, member by member as it says. */
export const HttpCredential = z
  .looseObject({ type: z.literal("http"), kind: z.string().optional().meta({ description: "The maker's own word for what it is." }) })
  .meta({ id: "HttpCredential" });
export type HttpCredential = z.infer<typeof HttpCredential>;

/** What other makers give, member by member; or a type alone, where a renewal left the credential as it is. */
export const OtherCredential = z.looseObject({ type: z.string() }).meta({ id: "OtherCredential" });
export type OtherCredential = z.infer<typeof OtherCredential>;

/** What opens the door, by `type`. Newer brokers may add types and members: readers ignore what they do not know. */
export const CredentialMaterial = z
  .union([
    JwtCredential,
    PostgresCredential,
    SshCertificateCredential,
    X509CertificateCredential,
    GithubTokenCredential,
    HttpCredential,
    OtherCredential,
  ])
  .meta({ id: "CredentialMaterial", description: "By `type`; unknown types and members are to be ignored." });
export type CredentialMaterial = z.infer<typeof CredentialMaterial>;
