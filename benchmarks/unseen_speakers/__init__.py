"""openSMILE with linear SVMs beside this project's models: the same recordings, speakers, mixtures and table."""
