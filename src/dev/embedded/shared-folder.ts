/**
 * The folder for data that another user than root needs when the clone is in a folder that only root may enter, such as
 * /root. Only root uses it, so it can be created; all users may enter every folder on its path.
 */
export const sharedFolder = '/var/lib/fairway';
