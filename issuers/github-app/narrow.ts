/** What a token may do there: by name of the permission. */
export type Permissions = Readonly<Record<string, Level>>;
export type Level = "read" | "write" | "admin";
/** By name (without the owner) or by id, never mixed; `all`: whatever the installation has. */
export type Repositories = "all" | readonly string[] | readonly number[];

const RANK: Readonly<Record<Level, number>> = { read: 1, write: 2, admin: 3 };

/** What of `asked` lies beyond `ceiling`, in words; undefined: nothing. */
export function beyondPermissions(asked: Permissions, ceiling: Permissions): string | undefined {
  for (const [name, level] of Object.entries(asked)) {
    const most = Object.hasOwn(ceiling, name) ? ceiling[name] : undefined;
    if (most === undefined) return `the permission ${name} is not among ${named(Object.keys(ceiling))}`;
    if (RANK[level] > RANK[most]) return `the permission ${name} may be ${most} at most, not ${level}`;
  }
  return undefined;
}

/** Likewise for repositories. GitHub folds case in names. An id is not compared with a name: both lists must say it the same way. */
export function beyondRepositories(asked: Repositories, ceiling: Repositories): string | undefined {
  if (ceiling === "all") return undefined;
  if (asked === "all") return `all repositories are more than ${named(ceiling)}`;
  const allowed = new Set<string | number>(ceiling.map(folded));
  const beyond = [...asked].find((repository) => !allowed.has(folded(repository)));
  if (beyond === undefined) return undefined;
  const mixed = typeof beyond !== typeof ceiling[0];
  return `the repository ${beyond} is not among ${named(ceiling)}${mixed ? " (write both by name, or both by id)" : ""}`;
}

/** What GitHub gave although nobody asked for it; it adds reading of metadata to every token by itself. */
export function unaskedPermission(given: Readonly<Record<string, string>>, asked: Permissions): string | undefined {
  return Object.keys(given).find((name) => {
    const level = given[name];
    if (name === "metadata" && level === "read") return false;
    const most = Object.hasOwn(asked, name) ? asked[name] : undefined;
    return most === undefined || !isLevel(level) || RANK[level] > RANK[most];
  });
}

const isLevel = (text: string | undefined): text is Level => text !== undefined && Object.hasOwn(RANK, text);
export const folded = (repository: string | number): string | number =>
  typeof repository === "string" ? repository.toLowerCase() : repository;

function named(list: readonly (string | number)[]): string {
  const few = list.slice(0, 10).join(", ");
  return list.length > 10 ? `${few} and ${list.length - 10} more` : few;
}
