/**
 * Where things go that another user than root must reach although the clone lies in a folder that only root may enter,
 * such as /root. Used by root alone, so it may be created there; every folder on the way is open to everybody.
 */
export const sharedFolder = '/var/lib/fairway';
