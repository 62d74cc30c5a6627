export { exactActions, type ExactActions, type ExactActionsOptions } from "./middleware.ts";
