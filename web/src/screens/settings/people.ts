import type { Schemas } from "../../api/client";

export type Role = "admin" | "developer" | "viewer";
export type User = Schemas["UserOut"];
export const roles: Record<Role, string> = {
  admin: "everything in this organization",
  developer: "everything but keys, people and settings",
  viewer: "read, without secrets",
};
