// The screens and where they are; each is loaded when it is first shown.
import type { IconName } from "../parts/Icon.svelte";
import type { Route } from "./router.svelte";

export interface Place {
  text: string;
  path: string;
  icon: IconName;
  key: string;
  /** Only for administrators. */
  admin?: boolean;
}
export interface Group {
  title?: string;
  places: Place[];
}

export const groups: Group[] = [
  {
    places: [
      { text: "Overview", path: "/", icon: "overview", key: "o" },
      { text: "Messages", path: "/messages", icon: "messages", key: "m" },
      { text: "Subjects", path: "/subjects", icon: "subject", key: "u" },
      { text: "Rejected", path: "/rejected", icon: "rejected", key: "r" },
    ],
  },
  { title: "Receive", places: [{ text: "Sources", path: "/sources", icon: "source", key: "s" }] },
  {
    title: "Send",
    places: [
      { text: "Applications", path: "/apps", icon: "application", key: "a" },
      { text: "Event types", path: "/event-types", icon: "type", key: "e" },
    ],
  },
  {
    title: "Operate",
    places: [
      { text: "Tasks", path: "/tasks", icon: "task", key: "t" },
      { text: "Operational webhooks", path: "/operational", icon: "bell", key: "w" },
      { text: "API keys", path: "/keys", icon: "key", key: "k", admin: true },
      { text: "People", path: "/people", icon: "people", key: "p", admin: true },
      { text: "Audit log", path: "/audit", icon: "audit", key: "l", admin: true },
      { text: "Settings", path: "/settings", icon: "settings", key: "," },
    ],
  },
];

export const routes: Route[] = [
  { path: "/", title: "Overview", load: () => import("../screens/overview/Overview.svelte") },
  { path: "/messages", title: "Messages", load: () => import("../screens/messages/Messages.svelte") },
  { path: "/messages/:id", title: "Message", load: () => import("../screens/messages/Message.svelte") },
  { path: "/subjects", title: "Subjects", load: () => import("../screens/subjects/Subjects.svelte") },
  { path: "/subjects/:kind/:id", title: "Subject", load: () => import("../screens/subjects/Subject.svelte") },
  { path: "/rejected", title: "Rejected", load: () => import("../screens/rejected/RejectedList.svelte") },
  { path: "/rejected/:id", title: "Rejected request", load: () => import("../screens/rejected/Rejected.svelte") },
  { path: "/sources", title: "Sources", load: () => import("../screens/sources/Sources.svelte") },
  { path: "/sources/new", title: "New source", load: () => import("../screens/sources/NewSource.svelte") },
  { path: "/sources/:source", title: "Source", load: () => import("../screens/sources/Source.svelte") },
  { path: "/sources/:source/endpoints/:endpoint", title: "Endpoint", load: () => import("../screens/endpoints/Endpoint.svelte") },
  { path: "/apps", title: "Applications", load: () => import("../screens/applications/Applications.svelte") },
  { path: "/apps/:app", title: "Application", load: () => import("../screens/applications/Application.svelte") },
  { path: "/apps/:app/endpoints/:endpoint", title: "Endpoint", load: () => import("../screens/endpoints/Endpoint.svelte") },
  { path: "/event-types", title: "Event types", load: () => import("../screens/eventtypes/EventTypes.svelte") },
  { path: "/event-types/:name", title: "Event type", load: () => import("../screens/eventtypes/EventType.svelte") },
  { path: "/tasks", title: "Tasks", load: () => import("../screens/tasks/Tasks.svelte") },
  { path: "/tasks/:id", title: "Task", load: () => import("../screens/tasks/Task.svelte") },
  { path: "/operational", title: "Operational webhooks", load: () => import("../screens/operational/Operational.svelte") },
  { path: "/operational/:endpoint", title: "Operational webhook", load: () => import("../screens/operational/OperationalEndpoint.svelte") },
  { path: "/keys", title: "API keys", load: () => import("../screens/settings/Keys.svelte") },
  { path: "/people", title: "People", load: () => import("../screens/settings/People.svelte") },
  { path: "/audit", title: "Audit log", load: () => import("../screens/settings/Audit.svelte") },
  { path: "/settings", title: "Settings", load: () => import("../screens/settings/Settings.svelte") },
  { path: "/account", title: "Your account", load: () => import("../screens/settings/Account.svelte") },
];

export const portalPlaces: Place[] = [
  { text: "Endpoints", path: "/", icon: "endpoint", key: "n" },
  { text: "Messages", path: "/messages", icon: "messages", key: "m" },
  { text: "Event types", path: "/event-types", icon: "type", key: "e" },
];

export const portalRoutes: Route[] = [
  { path: "/", title: "Endpoints", load: () => import("../screens/portal/Endpoints.svelte") },
  { path: "/endpoints/:endpoint", title: "Endpoint", load: () => import("../screens/endpoints/Endpoint.svelte") },
  { path: "/messages", title: "Messages", load: () => import("../screens/portal/Messages.svelte") },
  { path: "/messages/:id", title: "Message", load: () => import("../screens/portal/Message.svelte") },
  { path: "/event-types", title: "Event types", load: () => import("../screens/eventtypes/EventTypes.svelte") },
  { path: "/event-types/:name", title: "Event type", load: () => import("../screens/eventtypes/EventType.svelte") },
];
