/** A YAML scalar that is text whatever it looks like (JSON strings are YAML). */
export const quoted = (text: string): string => JSON.stringify(text);
