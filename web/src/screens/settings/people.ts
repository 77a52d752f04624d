export type Role = "admin" | "developer" | "viewer";
export interface User {
  id: string;
  name: string;
  role: Role;
  createdAt: string;
  lastSeenAt?: string | null;
  disabled: boolean;
}
export const roles: Record<Role, string> = {
  admin: "everything in this organization",
  developer: "everything but keys, people and settings",
  viewer: "read, without secrets",
};
