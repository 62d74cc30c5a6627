/** What `init` knows of a platform: its Trust, whom the first rule lets in, and whom its tests must see refused. */
export interface Platform {
  /** Lines under `oidc:`. */
  readonly oidc: readonly string[];
  /** Claims of the allow rule, as YAML values. */
  readonly allow: Readonly<Record<string, string>>;
  /** Claims of deny rules. */
  readonly deny: readonly Readonly<Record<string, string>>[];
  /** Claims of a run that must be allowed, plain JSON. */
  readonly good: Readonly<Record<string, unknown>>;
  /** Changes to the good claims that must be refused, by name. */
  readonly bad: readonly { readonly name: string; readonly change: Readonly<Record<string, unknown>> }[];
  /** What the job needs, in words of the platform. */
  readonly job: readonly string[];
}

/** What was answered, by option name. */
export interface Answers {
  readonly grant: string;
  readonly audience: string;
  readonly scope: string;
  readonly environment: string;
  readonly owner: string;
  readonly url: string;
  readonly repositoryId: string;
  readonly projectId: string;
  readonly organization: string;
  readonly pipeline: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly issuer: string;
  readonly subject: string;
}
