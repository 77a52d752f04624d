// One suite, run with the version of the SDK that the environment names.
import "./suite/applications.mjs";
import "./suite/endpoints.mjs";
import "./suite/secrets.mjs";
import "./suite/messages.mjs";
import "./suite/attempts.mjs";
import "./suite/replays.mjs";
import "./suite/portal.mjs";
import "./suite/organization.mjs";
import "./suite/operational.mjs";
import "./suite/ingest.mjs";
import "./suite/errors.mjs";
