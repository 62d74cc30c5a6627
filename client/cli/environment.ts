/** The one door of the client to the process's variables. */
export const environment = (): Readonly<Record<string, string | undefined>> => process.env;
