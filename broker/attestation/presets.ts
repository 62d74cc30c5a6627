import type { PresetName } from "../policy/policy.ts";
import type { Preset } from "./preset.ts";
import { BUILDKITE, CIRCLECI, GITHUB, GITLAB } from "./presets-ci.ts";
import { AZURE, GENERIC, GOOGLE, KUBERNETES, SPIFFE } from "./presets-platform.ts";

/** Every algorithm a trust may name: asymmetric only; `none` and HS* have no place here. `EdDSA` is the old name of `Ed25519`. */
export const ALLOWED_ALGORITHMS: readonly string[] = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "Ed25519",
  "EdDSA",
];

/** Uses of one token where its platform hands it out more than once. */
export const CACHED_EVIDENCE_USES = 100;

/** What each platform's tokens say and which of it can be relied upon. */
export const PRESET_TABLE: Readonly<Record<PresetName, Preset>> = {
  github: GITHUB,
  gitlab: GITLAB,
  buildkite: BUILDKITE,
  circleci: CIRCLECI,
  kubernetes: KUBERNETES,
  google: GOOGLE,
  azure: AZURE,
  spiffe: SPIFFE,
  generic: GENERIC,
};

/** What is known of the preset. */
export const presetOf = (name: PresetName): Preset => PRESET_TABLE[name];

/** Whether a condition on this claim counts as an anchor condition. */
export const isAnchor = (name: PresetName, claim: string): boolean => PRESET_TABLE[name].anchors.some((set) => set.includes(claim));

/** Whether conditions on these claims bind a rule to one owner: all members of some anchor set are there. */
export const isAnchored = (name: PresetName, claims: ReadonlySet<string>): boolean =>
  PRESET_TABLE[name].anchors.some((set) => set.every((claim) => claims.has(claim)));

/** Whether values of this claim compare without regard to case. */
export const foldsCase = (name: PresetName, claim: string): boolean => PRESET_TABLE[name].foldsCase.includes(claim);
