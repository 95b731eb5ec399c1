"""The methods that choose and change masks, one file each."""
