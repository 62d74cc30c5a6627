/** Platforms that `init` has a template for. */
export const CI_NAMES = ["github", "gitlab", "buildkite", "circleci", "kubernetes", "generic"] as const;
export type CiName = (typeof CI_NAMES)[number];
